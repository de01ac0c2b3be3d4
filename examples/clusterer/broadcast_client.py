"""The work, for the queues of whichever server answers."""

from functions import *

from pipeline_runner.clusterer import BroadcastClient

if __name__=='__main__':
    # No address: the server is found.
    c = BroadcastClient(authkey=b'a long password: 25 bytes')

    # List functions,their args and  number of processes of each function to run on this client.
    funcs = [Generate,Square,Subtract1,Print]
    args = [['gen2sq_q'],['gen2sq_q','sq2sub_q'],['sq2sub_q','sub2pr_q'],['sub2pr_q']]
    num_process = [1,1,1,1]

    c.process(funcs,args,num_process)
