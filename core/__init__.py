"""The thin core that every solution stands on: feeding, scoring, storing and measuring models on Spark."""
