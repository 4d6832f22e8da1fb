import threading

from time_limits import join_all

from dsp_batch.storage.usage import count_usage, measure_usage


def test_blocks_nest_and_threads_count_for_themselves() -> None:
    seen: list[tuple[int, int]] = []

    def other_task() -> None:
        with measure_usage() as other:
            count_usage(requests=5, bytes_read=50)
            seen.append((other.requests, other.bytes_read))

    with measure_usage() as outer:
        count_usage(requests=1, bytes_read=10)
        with measure_usage() as inner:
            count_usage(requests=2, bytes_read=20)
        thread = threading.Thread(target=other_task)
        thread.start()
        join_all(thread)

    assert (inner.requests, inner.bytes_read) == (2, 20)
    assert (outer.requests, outer.bytes_read) == (3, 30)
    assert seen == [(5, 50)]


def test_counting_outside_a_block_is_no_error() -> None:
    count_usage(requests=1)
