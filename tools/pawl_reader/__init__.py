"""The second reader: judges releases (`*.pawl`) from the formats alone, on cbor2 and cryptography.

It shares no code with the device's verifier, so that a fault must be made twice before it goes unseen. It is asked after
the device's verifier and gives no permission of its own: `verdict = read(bundle, anchor_file)`.
"""

from pawl_reader.bundle import read as read
from pawl_reader.verdict import Block as Block
from pawl_reader.verdict import Image as Image
from pawl_reader.verdict import Verdict as Verdict
