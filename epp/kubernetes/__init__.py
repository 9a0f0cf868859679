"""The Kubernetes API: how it is reached, how collections of objects are followed, what the objects say."""
