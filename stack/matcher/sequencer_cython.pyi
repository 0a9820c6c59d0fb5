from stack.matcher.sequencer_python import Group as Group
from stack.matcher.sequencer_python import Sequencer as Sequencer

IMPLEMENTATION: str
