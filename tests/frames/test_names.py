"""The order that file names tell."""

from hypothesis import given
from hypothesis import strategies as st

from mslstm_keras.frames.names import counting_order


@given(st.lists(st.integers(0, 10**6), min_size=1))
def test_counting_order_is_that_of_the_numbers(tmp_path_factory, numbers):
    paths = [tmp_path_factory.getbasetemp() / f"frame{number}.png" for number in numbers]
    assert sorted(paths, key=counting_order) == [paths[0].with_name(f"frame{n}.png") for n in sorted(numbers)]
