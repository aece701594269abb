"""Declares BENCH_COUNT resources of BENCH_KIND; all but the no-op in workspace BENCH_SPACE."""

import os

from nothing import Nothing

import pulumi_inference as inference

count, kind = int(os.environ["BENCH_COUNT"]), os.environ["BENCH_KIND"]
if kind in ("workspace", "Model", "Endpoint"):
    space = inference.Workspace(os.environ["BENCH_SPACE"])
for number in range(count):
    if kind == "no-op":
        Nothing(f"r{number}")
    if kind == "Model":
        inference.Model(f"r{number}", workspace=space.name, path="model.txt")
    if kind == "Endpoint":
        inference.Endpoint(f"r-{number}", workspace=space.name)
