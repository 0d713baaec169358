"""The whole system on one screen: settings in, a running server out."""
