"""Facts about the platform: tables and small functions, each fact with its source."""
