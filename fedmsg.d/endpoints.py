"""The bus: who sends from where.

fedmsg runs every *.py file in /etc/fedmsg.d, ~/.fedmsg.d and ./fedmsg.d, each folder in
alphabetical order, and merges their `config`; the last one wins. Run in a clone, these files give
a bus within this machine. For anything else, copy them to /etc/fedmsg.d and change them there.
"""

import socket

# fedmsg looks for the name of the machine without its domain.
hostname = socket.gethostname().split(".", 1)[0]

config = {
    # Send and receive by ZeroMQ. moksha demands to be told; no default.
    "zmq_enabled": True,
    # How every topic that is sent from here begins: <topic_prefix>.<environment>.<who>.<what>.
    # Default: org.fedoraproject
    "topic_prefix": "org.fedoraproject",
    # prod, stg or dev. The example rules ask for prod topics. Default: dev
    "environment": "prod",
    # Where messages come from: addresses, grouped by who sends. A receiver connects to all of
    # them, a sender takes the first free one of its own group. No default.
    #
    # Write 127.0.0.1, for "localhost" is refused. Whatever an address says, fedmsg.publish opens
    # its port on every interface of the machine; if others must not listen, it takes a firewall.
    "endpoints": {
        # What fedbadges sends: awards and ranks. Each thread that sends takes an address, and so
        # does each process, so list more than one; a second hub on the machine needs its own.
        f"fedbadges.{hostname}": [f"tcp://127.0.0.1:{port}" for port in range(9941, 9946)],
        # What programs send by fedmsg.publish(name="shell.<host>", ...), one address for each
        # that runs at the same time.
        f"shell.{hostname}": [f"tcp://127.0.0.1:{port}" for port in range(9946, 9951)],
        # Where fedmsg-relay passes on what it was given.
        "relay_outbound": ["tcp://127.0.0.1:9951"],
    },
    # Where fedmsg-relay takes messages from short-lived senders such as fedmsg-logger.
    # No default; only those two need it.
    "relay_inbound": ["tcp://127.0.0.1:9952"],
    # Check who signed a message, and drop it if nobody trusted did. No default.
    # In production: True, and `ssldir`, `ca_cert_location`, `crl_location` and `routing_policy` to
    # go with it. Without, whoever can reach an address above can have any badge awarded.
    "validate_signatures": False,
    # Sign what is sent. In production: True, and a certificate in `certnames`. Default: False
    "sign_messages": False,
}
