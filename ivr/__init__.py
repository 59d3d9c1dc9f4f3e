"""The phone line: webhooks, call flow, TwiML, prompts."""
