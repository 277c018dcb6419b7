"""MQTT between panel and collector: topics and payloads (README.md in this folder)."""
