"""A machine that works: what, the server says. Start it on as many as you like."""

from pipeline_runner.clusterer import FunctionClient

if __name__=='__main__':
    c = FunctionClient(authkey=b'a long password: 25 bytes')
    c.process()
