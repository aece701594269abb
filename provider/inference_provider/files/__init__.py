"""stack.yaml and the files it names -> spec."""

from inference_provider.files.digest import with_content_hash
from inference_provider.files.referenced import file_faults
from inference_provider.files.source_folder import SourceFolder
from inference_provider.files.stack_file import load_azure, load_stack

__all__ = ["SourceFolder", "file_faults", "load_azure", "load_stack", "with_content_hash"]
