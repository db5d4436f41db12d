"""Work on other machines: an existing Dask cluster, given by its address, as an executor of Python.

Dask is an extra and imported here alone, inside functions. A task is a pickle of a function's name and its arguments;
what is large lies on storage that all machines see.
"""
