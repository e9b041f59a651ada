"""SASRec of each rival, in the shape that benchmarks/sequential.py asks for."""
