"""SageMaker's hosts, simulated on this machine, and jobs of its unmodified training toolkit on them.

`job.TrainingJob` says what is asked for, `contents` puts it into files as the service does, `cluster` makes the hosts,
`host_main` is the first process of each, and `runner` runs jobs and collects what they leave.
"""
