"""The practice phone: try the line from a terminal or a browser, with no Twilio account.

`twiml.py` reads TwiML and refuses what Twilio refuses; `call.py` is one phone call that sends the same signed form posts as
Twilio, and `terminal.py` is its face. `switch.py` holds many calls that ring, meet and part; `exchange.py` is the process
around it, with Twilio's REST API (`rest.py`) and the windows of the page (`windows.py`, `views.py`); `noise.py` makes things
go wrong. Development and tests only.
"""
