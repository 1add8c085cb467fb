"""An S3 server of this machine, for tests; they are skipped without moto and s3fs."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

BUCKET = "bucket"


@contextmanager
def start_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Start a server with one empty bucket that s3:// means here; yield fsspec's file system."""
    server_module = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    server = server_module.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        store = s3fs.S3FileSystem(use_listings_cache=False)
        if store.exists(BUCKET):  # of an earlier server in this process
            store.rm(BUCKET, recursive=True)
        store.mkdir(BUCKET)
        yield store
    finally:
        server.stop()
        s3fs.S3FileSystem.clear_instance_cache()
        gc.collect()  # sessions that were not closed: here, where warnings of them are no errors
