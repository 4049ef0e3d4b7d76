from benchmarks.latency import percentiles


def test_a_percentile_is_a_wait_that_so_many_results_stayed_within():
    found = percentiles([number / 10 for number in reversed(range(1, 101))])
    assert found == {"latency_p50": 5.0, "latency_p90": 9.0, "latency_p99": 9.9}


def test_few_results_have_the_slowest_as_their_last_percentile():
    assert percentiles([3.0, 1.0, 2.0]) == {
        "latency_p50": 2.0, "latency_p90": 3.0, "latency_p99": 3.0,
    }  # fmt: skip
    assert percentiles([]) == {}
