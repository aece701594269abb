import pulumi

import pulumi_inference

declared = pulumi_inference.declare("stack.yaml")
for name, endpoint in declared.endpoints.items():
    pulumi.export(name, endpoint.scoring_uri)
