import pytest

from common import errors


def all_errors(base=errors.PlatformError):
    yield base
    for one in base.__subclasses__():
        yield from all_errors(one)


@pytest.mark.parametrize("kind", list(all_errors()), ids=lambda kind: kind.__name__)
def test_every_refusal_has_both_shapes_and_a_code_that_no_client_stumbles_over(kind):
    refusal = kind("What to do next.")

    assert "message" not in refusal.code
    assert 400 <= refusal.status < 600
    assert refusal.body() == {"error": kind.code, "message": "What to do next."}
    combined = refusal.proxy_body()
    assert combined["error"] == {"message": "What to do next.", "type": kind.code}
    assert combined["message"] == combined["detail"]["message"] == "What to do next."


def test_what_may_be_tried_again_says_when():
    assert errors.Unavailable("Later.").headers == {"Retry-After": "2"}
    state = errors.IdempotencyInFlight("Wait.", headers={"Retry-After": "1"})
    assert state.headers == {"X-Comfy-Error-Type": "idempotency_in_flight", "Retry-After": "1"}
