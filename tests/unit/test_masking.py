"""No secret gets through the one place that masks, and what is none stays."""

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.masking import MaskedStream, mask_output, masked

SECRET = "Xq7-secret_9"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"https://me:{SECRET}@host/x", "https://me:***@host/x"),
        (f"postgresql+psycopg2://me:a@{SECRET}@host:5432/db", "postgresql+psycopg2://me:***@host:5432/db"),
        (f"https://h/f?sig={SECRET}&se=2", "https://h/f?sig=***&se=***"),
        (f"https://h/f?{SECRET}", "https://h/f?***"),
        (f"https://h/f#access_token={SECRET}", "https://h/f#access_token=***"),
        (f"https://{SECRET}@host/a.git", "https://***@host/a.git"),
        (f"https://ghp_0123456789abcdefghij:{SECRET}@h/a", "https://***:***@h/a"),
        (f"get https://me:{SECRET}@h/x?a={SECRET}: no", "get https://me:***@h/x?a=***: no"),
        (f"[export W_API_KEY={SECRET}, module load x]", "[export W_API_KEY=***, module load x]"),
        (f"AWS_SECRET_ACCESS_KEY: '{SECRET} x'", "AWS_SECRET_ACCESS_KEY: '***'"),
        (f"Authorization: Bearer {SECRET}", "Authorization: ***"),
        (f"sbatch --token {SECRET} x", "sbatch --token *** x"),
        (f"{{'password': '{SECRET}', 'a': 1}}", "{'password': '***', 'a': 1}"),
        (f"uri: 's3://AKIAABCDEFGHIJKLMNOP:{SECRET}@h/b'", "uri: 's3://***:***@h/b'"),
    ],
)  # fmt: skip
def test_what_is_secret_goes(text, expected):
    assert masked(text) == expected
    assert masked(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "git@github.com:a/b.git",
        "ssh://git@host/a.git",
        "http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning"
        "&viewStateShareKey=configurations",
        "sqlite:////home/me/a b/mlflow.db",
        "error: unknown key train.tokens; nearest: train.momentum",
        "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
        "https://github.com/open-mmlab/mmdetection/issues/7439#issuecomment-1 says so",
        "pipeline/data/sources/symbols.py",
        "model = dict(with_cls_token=True, out_type='cls_token', num_tokens=4)",
    ],
)
def test_what_is_not_secret_stays(text):
    assert masked(text) == text


WORDS = st.text("abcXYZ019-_.~!$*+", min_size=8, max_size=20)


@given(WORDS, WORDS, st.sampled_from(["{}", "see {} now", "'{}'", "x={}, y", "({})", "{}."]))
def test_no_password_and_no_query_survives(user, secret, sentence):
    secret = f"q{secret}q"
    url = f"https://{user}:{secret}@host:1/a/b?key={secret}&{secret}"
    assert secret not in masked(sentence.format(url))


def test_values_of_secret_variables_go_wherever_they_stand(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"{SECRET}/longer")
    monkeypatch.setenv("SOME_TOKEN", "short")
    text = f"botocore: {SECRET}/longer is wrong, {SECRET} too; short"
    assert masked(text) == "botocore: *** is wrong, *** too; short"


def test_all_output_of_a_process_is_masked(monkeypatch):
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    for _ in range(2):
        mask_output()
    assert isinstance(sys.stdout, MaskedStream) and sys.stdout.stream is out
    print("downloading", f"https://me:{SECRET}@h/x")
    sys.stderr.writelines([f"token={SECRET}\n"])
    assert out.getvalue() == "downloading https://me:***@h/x\n"
    assert err.getvalue() == "token=***\n"


@pytest.mark.parametrize(
    "piece", ["a", "a-", "--a", "token", "token ", 'token:"', "x://", "a.b:", "http://a@", "&a="]
)
def test_a_long_line_takes_no_longer_than_its_length(piece):
    """A pattern that is tried at every character and reads on to the end would take hours."""
    for start in ("", "http://", "http://h?", "token="):
        masked(start + piece * (10**5 // len(piece)))
