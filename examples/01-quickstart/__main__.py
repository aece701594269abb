import pulumi_inference

pulumi_inference.declare("stack.yaml")
