"""The milter that every notice of the gateway passes before it is queued (D20).

A notice (a bounce, a delay warning, a success report: RFC 3461 to 3464) tells a sender about a
message, and Postfix attaches the message's headers. If the message went to or came from a partner
and the notice leaves the own domains, it loses them, and it goes over verified TLS or waits.

It fails closed: a notice that cannot be judged is not made, and Postfix tries again; one that
cannot be read holds nothing of the message.
"""
