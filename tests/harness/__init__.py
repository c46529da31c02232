"""The parts of ./test: processes, counting, stages. Standard library only."""
