"""What a training job finds around it, laid out as the SageMaker training toolkit does, on any machine.

Pure: `hyperparameters`, `environment` (the SM_* variables) and `failure`. With effects: `channels`, `folder` (files of
a job), `facts` (what this machine is) and `run` (the process). `rank` runs in front of the script in each rank.
"""
