"""The address of a server, and what its answers mean."""

from __future__ import annotations

import pytest

from airflow_dataml.adapters.rest import RestServer
from airflow_dataml.core.errors import BackendError, ConnectionSpecError
from tests.integration.delivery.receivers import refused_port
from tests.integration.exports.catalogs import DROPPED, catalog


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://host", "no address of a server"), ("host", "no address of a server"), ("http://", "no address of a server"),
        ("http://u:hunter2@host", "carries a login"), ("https://host/?token=hunter2", "carries a login or a query"),
    ],
    ids=["scheme", "no scheme", "no host", "login", "query"],
)  # fmt: skip
def test_an_address_is_one_and_has_no_secret(url, words):
    with pytest.raises(ConnectionSpecError, match=words) as caught:
        RestServer(url=url)
    assert "hunter2" not in str(caught.value)


def test_a_token_is_in_no_message():
    with refused_port() as port:
        server = RestServer(url=f"http://127.0.0.1:{port}", token="hunter2", pause=lambda seconds: None)
        assert "hunter2" not in repr(server)
        with pytest.raises(BackendError, match="did not answer GET /x") as caught:
            server.ask("GET", "/x?page_token=hunter2")
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("status", [408, 429, 500, 503, DROPPED], ids=str)
def test_a_busy_server_is_asked_three_times(status):
    waits = []
    with catalog(fails=lambda number, path, body: status) as there:
        server = RestServer(url=there.url, pause=waits.append)
        with pytest.raises(BackendError, match="did not answer PUT /api/v1/tables"):
            server.ask("PUT", "/api/v1/tables", {"name": "x"})
        assert there.asked == 3
    assert waits == [0.5, 1.0]


def test_what_must_not_be_repeated_is_not():
    with catalog(fails=lambda number, path, body: 503) as there:
        with pytest.raises(BackendError, match="503"):
            RestServer(url=there.url, pause=lambda seconds: None).ask("POST", "/x", {}, repeat=False)
        assert there.asked == 1


def test_a_refusal_is_an_answer():
    with catalog(fails=lambda number, path, body: 422) as there:
        answer = RestServer(url=there.url).ask("PUT", "/x", {"a": "ü"})
    assert (answer.status, answer.ok, answer.body) == (422, False, {"message": "as told"})


def test_a_server_that_hangs_is_given_up(tmp_path):
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        server = RestServer(
            url=f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.2, pause=lambda seconds: None
        )
        with pytest.raises(BackendError, match="timed out"):
            server.ask("GET", "/x")
