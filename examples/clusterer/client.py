"""The work, on this machine: run it on as many machines as you like."""

from functions import *

from pipeline_runner.clusterer import BaseClient

if __name__=='__main__':
    # Configure to connect to server.
    c = BaseClient(('127.0.0.1',50000),authkey=b'password')

    # List functions,their args and  number of processes of each function to run on this client.
    funcs = [Generate,Square,Subtract1,Print]
    args = [['gen2sq_q'],['gen2sq_q','sq2sub_q'],['sq2sub_q','sub2pr_q'],['sub2pr_q']]
    num_process = [1,1,1,1]

    c.process(funcs,args,num_process)

    # If you want to start only one.
    #c.process(Generate,['gen2square_q'],1)
