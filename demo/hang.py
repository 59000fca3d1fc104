# A small bookkeeping service, written the way such services are: every account has a lock, a transfer takes two of them. Two
# transfers meet in opposite directions, and the process hangs without a word.
import threading
import time


class Account:
    def __init__(self, owner):
        self.owner = owner
        self.cents = 1000
        self.lock = threading.RLock()


def transfer(source, target, cents):
    with source.lock:
        time.sleep(0.1)  # asks the rate service
        with target.lock:
            source.cents -= cents
            target.cents += cents


def main():
    anna, bert = Account("Anna"), Account("Bert")
    workers = [threading.Thread(target=transfer, args=(anna, bert, 10), name="booking-1"),
               threading.Thread(target=transfer, args=(bert, anna, 20), name="booking-2")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


main()
