"""The JSON API that the bot and integrators use, with its OpenAPI description at /api/v1/openapi.json."""
