"""Declares BENCH_COUNT resources of BENCH_KIND."""

import os

from nothing import Nothing

import pulumi_inference as inference

count, kind = int(os.environ["BENCH_COUNT"]), os.environ["BENCH_KIND"]
if kind == "noop":
    for number in range(count):
        Nothing(f"r{number}")
if kind == "model":
    space = inference.Workspace(f"bench-{count}")
    for number in range(count):
        inference.Model(f"r{number}", workspace=space.name, path="model.txt")
