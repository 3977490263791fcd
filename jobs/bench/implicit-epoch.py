"""Prints when each epoch of implicit's alternating least squares ended, in seconds, as a JSON list.

Arguments: folder with starts.i32 and items.i32 (compressed rows by user), items, factors, epochs, threads, steps.
"""
import json
import sys
import time

import implicit
import numpy
import scipy.sparse

folder = sys.argv[1]
items, factors, epochs, threads, steps = map(int, sys.argv[2:])
starts = numpy.fromfile(f"{folder}/starts.i32", dtype=numpy.int32)
met = numpy.fromfile(f"{folder}/items.i32", dtype=numpy.int32)
rows = scipy.sparse.csr_matrix((numpy.ones(len(met), dtype=numpy.float32), met, starts), shape=(len(starts) - 1, items))
rows.sum_duplicates()

model = implicit.cpu.als.AlternatingLeastSquares(
    factors=factors, iterations=epochs, num_threads=threads, use_cg=True, random_state=1, calculate_training_loss=False
)
model.cg_steps = steps
began = time.perf_counter()
ends = []
model.fit(rows, show_progress=False, callback=lambda *_: ends.append(time.perf_counter() - began))
print(json.dumps(ends))
