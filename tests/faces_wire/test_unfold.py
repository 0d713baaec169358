from hypothesis import given

from tertulia.turn.events import Event
from tertulia.turn.fold import fold
from tertulia.turn.unfold import unfold
from tests.faces_wire.logs import choices_of, logs, quiet


@given(log=logs(most_choices=3))
@quiet
def test_what_is_unfolded_folds_to_the_same(log: list[Event]) -> None:
    choices = choices_of(log)
    events = [delta for index, choice in enumerate(choices) for delta in unfold(choice, index)]
    found = fold(events).choices()
    assert found == choices[: len(found)]
    assert all(choice.empty and not choice.opaque and not choice.citations for choice in choices[len(found) :])
