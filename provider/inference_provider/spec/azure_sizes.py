"""Common sizes of Azure's virtual machines, so that a file made for Azure ML means something here.

Source: the sizes of the series DSv2, Fsv2, Esv3, Dasv4, NCv3, NCasT4_v3, NC_A100_v4, ND_A100_v4,
NCads_H100_v5 and NVadsA10_v5 as Microsoft lists them in microsoft/aspire,
src/Aspire.Hosting.Azure.Kubernetes/AksNodeVmSizes.cs; the products, in Azure's page of each series.
A workspace's `instance_types` corrects or adds any.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Size(NamedTuple):
    """One size."""

    cores: int
    memory_gib: float
    gpus: int = 0
    gpu_product: str = ""


AZURE_SIZES: Mapping[str, Size] = {
    "Standard_DS1_v2": Size(1, 3.5),
    "Standard_DS2_v2": Size(2, 7),
    "Standard_DS3_v2": Size(4, 14),
    "Standard_DS4_v2": Size(8, 28),
    "Standard_DS5_v2": Size(16, 56),
    "Standard_F2s_v2": Size(2, 4),
    "Standard_F4s_v2": Size(4, 8),
    "Standard_F8s_v2": Size(8, 16),
    "Standard_F16s_v2": Size(16, 32),
    "Standard_F32s_v2": Size(32, 64),
    "Standard_F48s_v2": Size(48, 96),
    "Standard_F64s_v2": Size(64, 128),
    "Standard_F72s_v2": Size(72, 144),
    "Standard_E2s_v3": Size(2, 16),
    "Standard_E4s_v3": Size(4, 32),
    "Standard_E8s_v3": Size(8, 64),
    "Standard_E16s_v3": Size(16, 128),
    "Standard_E32s_v3": Size(32, 256),
    "Standard_E48s_v3": Size(48, 384),
    "Standard_D2as_v4": Size(2, 8),
    "Standard_D4as_v4": Size(4, 16),
    "Standard_D8as_v4": Size(8, 32),
    "Standard_D16as_v4": Size(16, 64),
    "Standard_D32as_v4": Size(32, 128),
    "Standard_NC6s_v3": Size(6, 112, 1, "V100"),
    "Standard_NC12s_v3": Size(12, 224, 2, "V100"),
    "Standard_NC24s_v3": Size(24, 448, 4, "V100"),
    "Standard_NC4as_T4_v3": Size(4, 28, 1, "T4"),
    "Standard_NC8as_T4_v3": Size(8, 56, 1, "T4"),
    "Standard_NC16as_T4_v3": Size(16, 110, 1, "T4"),
    "Standard_NC64as_T4_v3": Size(64, 440, 4, "T4"),
    "Standard_NC24ads_A100_v4": Size(24, 220, 1, "A100"),
    "Standard_NC48ads_A100_v4": Size(48, 440, 2, "A100"),
    "Standard_NC96ads_A100_v4": Size(96, 880, 4, "A100"),
    "Standard_ND96asr_v4": Size(96, 900, 8, "A100"),
    "Standard_ND96amsr_A100_v4": Size(96, 1800, 8, "A100"),
    "Standard_NC40ads_H100_v5": Size(40, 320, 1, "H100"),
    "Standard_NC80adis_H100_v5": Size(80, 640, 2, "H100"),
    "Standard_NV36ads_A10_v5": Size(36, 440, 1, "A10"),
}
