"""What smddprun does while its job runs: it watches each rank, and says at the end what went wrong.

In each rank `watch` stands between mpirun and the program. It tells the launcher of the program's start and end by
records in its standard error, which every mpirun brings from every host. The launcher (`supervisor`) takes them out
again (`records`), ends the job in time, and sums it up (`verdict`).
"""
