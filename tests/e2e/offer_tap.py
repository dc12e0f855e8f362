"""Everything that is offered, as the broker hands it out: a second client beside the server, with the server's rights."""

import threading

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from pawl import codes, messages, trust
from pawl.index import b64u
from pawl.ports.host.verifier import verify
from pawl_server import configuration
from pawl_server.mqtt.broker_config import SERVER_NAME

_TIMEOUT_S = 20


class OfferTap:
    """`offers` has (device, action, release) in the order of the broker; a connection that is lost is made again."""

    def __init__(self, folder):
        settings = configuration.load(folder).server
        self.offers = []
        self._directors = trust.load(settings.anchor.read_bytes(), verify).directors
        self._is_there = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="tap", clean_session=False)
        self._client.username_pw_set(SERVER_NAME)
        self._client.tls_set(
            str(settings.tls_authority), str(settings.tls_certificate), str(settings.tls_key)
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("pawl/d/+/+/offer", 1)
        self._client.on_subscribe = lambda *_: self._is_there.set()
        self._client.on_message = self._on_message
        self._client.connect(settings.broker_host, settings.broker_port)
        self._client.loop_start()
        assert self._is_there.wait(_TIMEOUT_S)

    def _on_message(self, _client, _user, message):
        offer = messages.open_offer(message.payload, self._directors, verify)
        self.offers.append((message.topic.split("/")[3], offer.action, offer.digest and b64u(offer.digest)))

    def installs(self, device):
        """Return the releases that a device was asked to install, each once, in order."""
        asked = [
            digest for name, action, digest in self.offers if (name, action) == (device, codes.OFFER_INSTALL)
        ]
        return list(dict.fromkeys(asked))

    def close(self):
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()
