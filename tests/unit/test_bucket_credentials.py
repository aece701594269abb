"""What a connection gives who reaches a bucket, and which connection fits which bucket."""

import pytest

from inference_provider.spec import ConnectionSpec, StackSpec, stack_faults
from inference_provider.spec.bucket_credentials import bucket_fault, variables_of
from inference_provider.spec.connection import contents_of

CHINA = "https://acct.blob.core.chinacloudapi.cn"
OTHER_HOST = "for another host use CustomKeys with AZURE_STORAGE_CONNECTION_STRING"
PRINCIPAL = {"client_id": "c", "client_secret": "s", "tenant_id": "t"}


def contents(category="S3", **fields):
    return contents_of(ConnectionSpec(name="store", category=category, **fields))


def s3(**fields):
    keys = {"access_key_id": "AKIA", "secret_access_key": "hidden"}
    return contents("S3", credentials=keys, **fields)


def test_an_access_key_is_what_the_library_of_s3_reads():
    assert variables_of(s3()) == {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "hidden"}


def test_a_target_is_the_address_of_what_is_not_at_aws_and_a_region_may_be_told():
    told = variables_of(s3(target="https://minio.example.org", metadata={"Region": "eu-west-1"}))
    assert told["AWS_ENDPOINT_URL"] == "https://minio.example.org"
    assert told["AWS_DEFAULT_REGION"] == "eu-west-1"


@pytest.mark.parametrize("category", ["AzureBlob", "ADLSGen2"])
@pytest.mark.parametrize(
    ("credentials", "given"),
    [
        ({"account_key": "hidden"}, {"AZURE_STORAGE_ACCOUNT_KEY": "hidden"}),
        ({"sas_token": "hidden"}, {"AZURE_STORAGE_SAS_TOKEN": "hidden"}),
        (
            PRINCIPAL,
            {
                "AZURE_STORAGE_CLIENT_ID": "c",
                "AZURE_STORAGE_CLIENT_SECRET": "s",
                "AZURE_STORAGE_TENANT_ID": "t",
            },
        ),
    ],
)
def test_each_way_into_a_storage_account_is_what_its_library_reads(category, credentials, given):
    target = "https://models.blob.core.windows.net/"
    one = contents(category, credentials=credentials, target=target)
    assert variables_of(one) == {"AZURE_STORAGE_ACCOUNT_NAME": "models", **given}
    assert bucket_fault("abfs://models/demo", one) is None


def test_a_storage_account_may_be_named_in_metadata():
    one = contents("AzureBlob", credentials={"key": "k"}, metadata={"AccountName": "models"})
    assert variables_of(one)["AZURE_STORAGE_ACCOUNT_NAME"] == "models"
    assert bucket_fault("az://models/demo", one) is None


def test_custom_keys_are_named_as_the_variables_that_they_are():
    keys = {"GOOGLE_APPLICATION_CREDENTIALS": "{}"}
    one = contents("CustomKeys", credentials=keys, metadata={"GCSFS_DEBUG": "1", "a-note": "x"})
    assert variables_of(one) == {"GOOGLE_APPLICATION_CREDENTIALS": "{}", "GCSFS_DEBUG": "1"}
    assert bucket_fault("gs://models/demo", one) is None


@pytest.mark.parametrize(
    "names",
    [
        ["CONNECTION_STRING"],
        ["ACCOUNT_NAME", "ACCOUNT_KEY"],
        ["ACCOUNT_NAME", "SAS_TOKEN"],
        ["ACCOUNT_NAME", "CLIENT_ID", "CLIENT_SECRET", "TENANT_ID"],
    ],
)
def test_custom_keys_may_have_each_way_into_a_storage_account(names):
    one = contents("CustomKeys", credentials={f"AZURE_STORAGE_{name}": "x" for name in names})
    assert bucket_fault("abfs://models/demo", one) is None


def test_the_name_of_an_account_among_metadata_counts_for_custom_keys():
    told = {"AZURE_STORAGE_ACCOUNT_NAME": "models"}
    keys = {"AZURE_STORAGE_ACCOUNT_KEY": "hidden"}
    one = contents("CustomKeys", credentials=keys, metadata=told)
    assert bucket_fault("abfs://models/demo", one) is None


@pytest.mark.parametrize("url", ["s3://models", "oss://models", "abfs://models", "gs://models"])
def test_options_of_fsspec_stand_for_every_credential(url):
    one = contents("CustomKeys", credentials={"FSSPEC_S3_KEY": "hidden"})
    assert bucket_fault(url, one) is None


@pytest.mark.parametrize(
    ("url", "one", "reason", "remedy"),
    [
        (
            "s3://models",
            contents("Git", credentials={"pat": "p"}),
            "connection 'store' is of category Git",
            "s3:// takes one of S3 or CustomKeys",
        ),
        (
            "gs://models",
            s3(),
            "connection 'store' is of category S3",
            "gs:// takes one of CustomKeys",
        ),
        (
            "abfs://models",
            s3(),
            "connection 'store' is of category S3",
            "abfs:// takes one of AzureBlob or ADLSGen2 or CustomKeys",
        ),
        (
            "s3://models",
            s3(target="models"),
            "connection 'store' has target 'models', which is not a URL",
            "write the URL of the service, https://…, and nothing for AWS",
        ),
        (
            "s3://models",
            s3(target="https://[models"),
            "connection 'store' has target 'https://[models', which is not a URL",
            "write the URL of the service, https://…, and nothing for AWS",
        ),
        (
            "abfs://models",
            contents("AzureBlob", credentials={"key": "k"}, target="https://[models"),
            "connection 'store' has target 'https://[models'",
            f"write target: https://ACCOUNT.blob.core.windows.net; {OTHER_HOST}",
        ),
        (
            "abfs://models",
            contents("AzureBlob", credentials={"key": "k"}),
            "connection 'store' names no storage account",
            "write target: https://ACCOUNT.blob.core.windows.net",
        ),
        (
            "abfs://models",
            contents("AzureBlob", credentials={"key": "k"}, target="https://azurite:10000/models"),
            "connection 'store' has target 'https://azurite:10000/models'",
            f"write target: https://ACCOUNT.blob.core.windows.net; {OTHER_HOST}",
        ),
        (
            "abfs://models",
            contents("AzureBlob", credentials={"key": "k"}, target=CHINA),
            f"connection 'store' has target '{CHINA}'",
            f"write target: https://ACCOUNT.blob.core.windows.net; {OTHER_HOST}",
        ),
        (
            "abfs://models",
            contents("CustomKeys", credentials={"OTHER": "o"}),
            "connection 'store' has no credential AZURE_STORAGE_CONNECTION_STRING",
            "add it; a credential of CustomKeys is named as the variable that it is",
        ),
        (
            "abfs://models",
            contents("CustomKeys", credentials={"AZURE_STORAGE_SAS_TOKEN": "s"}),
            "connection 'store' has no credential AZURE_STORAGE_ACCOUNT_NAME",
            "add it; a credential of CustomKeys is named as the variable that it is",
        ),
        (
            "s3://models",
            contents("CustomKeys", credentials={"OTHER": "o"}),
            "connection 'store' has no credentials AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY",
            "add them; a credential of CustomKeys is named as the variable that it is",
        ),
        (
            "s3://models",
            contents("CustomKeys", credentials={"AWS_ACCESS_KEY_ID": "AKIA"}),
            "connection 'store' has no credential AWS_SECRET_ACCESS_KEY",
            "add it; a credential of CustomKeys is named as the variable that it is",
        ),
        (
            "s3://models",
            contents("CustomKeys", credentials={"access-key": "AKIA"}),
            "connection 'store' has a credential 'access-key', which no variable can be named",
            "rename it",
        ),
        (
            "oss://models",
            contents("CustomKeys"),
            "connection 'store' has no credentials",
            "add them; a credential of CustomKeys is named as the variable that it is",
        ),
    ],
)
def test_a_connection_that_lets_nobody_in_is_refused_by_name(url, one, reason, remedy):
    assert bucket_fault(url, one) == (reason, remedy)


def faults(*connections, workspace="default", **storage):
    found = StackSpec.model_validate(
        {
            "name": "shop",
            "workspaces": [
                {"name": "default", "cluster": {"storage": {"url": "s3://models", **storage}}},
                {"name": "other"},
            ],
            "connections": [{"workspace": workspace, **one} for one in connections],
        }
    )
    return [(one.path, one.reason) for one in stack_faults(found)]


STORE = {
    "name": "store",
    "category": "S3",
    "credentials": {"accessKeyId": "AKIA", "secretAccessKey": "hidden"},
}


def test_a_stack_whose_bucket_has_its_connection_is_right():
    assert faults(STORE, connection="store") == []


def test_a_connection_that_is_not_declared_in_the_workspace_is_a_fault():
    place = "workspaces.0.cluster.storage.connection"
    said = "no connection 'store' in workspace 'default'"
    assert faults(connection="store") == [(place, said)]
    assert faults(STORE, workspace="other", connection="store") == [(place, said)]


def test_a_connection_of_another_category_is_a_fault_of_the_stack():
    wrong = {"name": "store", "category": "Git", "credentials": {"pat": "hidden"}}
    assert faults(wrong, connection="store") == [
        (
            "workspaces.0.cluster.storage.connection",
            "connection 'store' is of category Git",
        )
    ]
