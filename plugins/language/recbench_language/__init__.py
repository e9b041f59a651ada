"""Language models in recommenders: what items and users say in words."""
