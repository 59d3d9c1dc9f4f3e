"""The practice phone: try the line from a terminal or a browser, with no Twilio account.

`twiml.py` reads TwiML and refuses what Twilio refuses; `call.py` is one phone call that sends the same
signed form posts as Twilio; `terminal.py` and `views.py` are its two faces. Development and tests only.
"""
