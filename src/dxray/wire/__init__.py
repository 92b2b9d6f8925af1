"""What travels between a pipeline and a server: records, their codec, their ids."""
