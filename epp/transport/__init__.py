"""gRPC to Envoy: methods, their servers, certificates. Nothing else in the tree imports grpc."""
