"""The queues, and who works for them: clients are told what to run."""

from functions import *

from pipeline_runner.clusterer import FunctionServer

# Initialize Server
c = FunctionServer(authkey=b'a long password: 25 bytes')

# Register queues that server will be handling
c.configure(['gen2sq_q','sq2sub_q','sub2pr_q'])

# List functions,their args and  where they run.
funcs = [Generate,Square,Subtract1,Print]
args = [['gen2sq_q'],['gen2sq_q','sq2sub_q'],['sq2sub_q','sub2pr_q'],['sub2pr_q']]
# One Generate and one Print in all; Square on every core of every client; one Subtract1 on each.
num_process = [{'processes':1},'cores',1,{'processes':1}]

c.distribute(funcs,args,num_process)

# Start the server
c.runserver()
