"""A path that drops, trickles, refuses, or listens: T10, T11, T27, T33."""

import asyncio
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import factory
from mqtt_peer import *  # noqa: F403
from simulator import Client
from target import DAY_S, InstantLoop, Target

from pawl import codes, mqtt, topics
