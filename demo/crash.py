# A small night job, written the way such jobs are: workers take invoices from a queue, a thread prints progress, and
# totals are kept in C memory, through ctypes. One invoice has no lines, so its total has the address 0, and nobody
# looks: the process dies of SIGSEGV in a worker, without a word from Python.
import ctypes
import queue
import threading
import time


class Total(ctypes.Structure):
    _fields_ = [("currency", ctypes.c_char * 8), ("cents", ctypes.c_long)]


class Invoice:
    def __init__(self, number, lines):
        self.number = number
        self.lines = lines

    def total_address(self):
        """Stands for a call into a C library: the address of the total, 0 when there is nothing to add up."""
        if not self.lines:
            return 0
        total = totals.setdefault(self.number, Total(b"EUR", sum(self.lines)))
        return ctypes.addressof(total)

    def render(self):
        total = Total.from_address(self.total_address())
        return "invoice {}: {:.2f}".format(
            self.number, total.cents / 100)


def worker(jobs):
    while True:
        invoice = jobs.get()
        ready.wait()
        sent.append(invoice.render())
        jobs.task_done()


def progress(jobs):
    while True:
        time.sleep(0.1)
        print(f"{jobs.qsize()} invoices are waiting", flush=True)


totals = {}
sent = []
ready = threading.Event()


def main():
    jobs = queue.Queue()
    for name, target in ("worker-1", worker), ("worker-2", worker), ("progress", progress):
        threading.Thread(target=target, name=name, args=(jobs,), daemon=True).start()
    for number, lines in (1039, [1999, 350]), (1040, [12000]), (1041, []), (1042, [875]):
        jobs.put(Invoice(number, lines))
    time.sleep(0.35)
    ready.set()
    jobs.join()


main()
