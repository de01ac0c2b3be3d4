"""The queues, for every client on the network that has the key."""

from pipeline_runner.clusterer import BaseServer

# Initialize Server
c = BaseServer(port=50000,authkey=b'password')

# Register queues that server will be handling
c.configure(['gen2sq_q','sq2sub_q','sub2pr_q'])

# Start the server
c.runserver()
