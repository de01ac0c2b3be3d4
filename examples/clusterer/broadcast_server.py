"""The queues, which clients find by themselves."""

from pipeline_runner.clusterer import BroadcastServer

# Initialize Server
c = BroadcastServer(authkey=b'a long password: 25 bytes')

# Register queues that server will be handling
c.configure(['gen2sq_q','sq2sub_q','sub2pr_q'])

# Start the server
c.runserver()
