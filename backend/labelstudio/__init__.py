"""Label Studio's language, both ways: labelling configurations, contexts, regions, images."""
