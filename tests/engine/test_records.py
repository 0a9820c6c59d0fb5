from engine.records import COMMAND_BYTES, Command, CommandKind, Event, EventKind, Instrument, Side


def test_command_comes_back_as_it_went():
    command = Command(CommandKind.NEW, Side.BUY, 1, 2, 0, 7, 3, 100, 5, 0, 9, b"order-1")
    assert len(command.pack(token=77)) == COMMAND_BYTES
    assert Command.unpack(command.pack(token=77)) == command


def test_event_comes_back_as_it_went():
    event = Event(9, 9, 123, 0, 100, 5, 5, 0, 7, 3, 0, EventKind.ACCEPTED, Side.SELL, 1, 1, 1, 0, b"order-1")
    assert Event.unpack(event.pack()) == event


def test_instrument_is_a_command_of_the_same_size():
    packed = Instrument(1, b"AAPL", 1, 2, 1, 0, b"USD").pack()
    assert len(packed) == COMMAND_BYTES
    assert packed[0] == CommandKind.DEFINE_INSTRUMENT
