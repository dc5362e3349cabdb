"""Run a graph on an executor of one's own."""

from concurrent.futures import ThreadPoolExecutor

import pipetask

if __name__ == "__main__":
    with ThreadPoolExecutor(2) as executor:
        model = pipetask.FuturesExecutor(executor)
        print(pipetask.run("demo/repo", "demo/own.qg", output="demo/own", input="demo/defaults", mode=model))
