"""Trains on scanned digits as the older module's MNIST scripts do; torch is imported first."""

import argparse
import os
import time

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from sklearn.datasets import load_digits
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, Subset, TensorDataset
from torch.utils.data.distributed import DistributedSampler

import smdistributed.dataparallel.torch.distributed as dist
from smdistributed.dataparallel.torch.parallel.distributed import DistributedDataParallel as DDP

dist.init_process_group()


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, 1, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, 1)
        self.dropout1 = nn.Dropout2d(0.1)
        self.fc1 = nn.Linear(288, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = self.dropout1(F.max_pool2d(x, 2))
        x = F.relu(self.fc1(torch.flatten(x, 1)))
        return F.log_softmax(self.fc2(x), dim=1)


def train(args, model, device, train_loader, optimizer, epoch):
    model.train()
    for batch_idx, (data, target) in enumerate(train_loader):
        data, target = data.to(device), target.to(device)
        optimizer.zero_grad()
        loss = F.nll_loss(model(data), target)
        loss.backward()
        optimizer.step()
        if batch_idx % args.log_interval == 0 and args.rank == 0:
            done = batch_idx * len(data) * args.world_size
            print("Train Epoch: {} [{}/{}]\tLoss: {:.6f}".format(epoch, done, len(train_loader.dataset), loss.item()))


def test(model, device, test_loader):
    model.eval()
    correct = 0
    with torch.no_grad():
        for data, target in test_loader:
            data, target = data.to(device), target.to(device)
            pred = model(data).argmax(dim=1, keepdim=True)
            correct += pred.eq(target.view_as(pred)).sum().item()
    print("Test set: Accuracy: {}/{}".format(correct, len(test_loader.dataset)))


def loaders(args):
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
    dataset = TensorDataset(images, torch.tensor(digits.target))
    train_set, test_set = Subset(dataset, range(1440)), Subset(dataset, range(1440, len(dataset)))
    train_sampler = DistributedSampler(train_set, num_replicas=args.world_size, rank=args.rank)
    train_loader = DataLoader(
        train_set, batch_size=args.batch_size, shuffle=False, num_workers=0, sampler=train_sampler
    )
    return train_loader, DataLoader(test_set, batch_size=100, shuffle=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--lr", type=float, default=1.0)
    parser.add_argument("--gamma", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log-interval", type=int, default=10)
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR", "."))
    args = parser.parse_args()

    args.world_size = dist.get_world_size()
    args.rank = rank = dist.get_rank()
    args.local_rank = dist.get_local_rank()
    args.batch_size = max(args.batch_size // args.world_size, 1)
    device = torch.device("cpu")
    torch.set_num_threads(1)
    torch.manual_seed(args.seed + rank)  # other weights on each rank, until the wrapper makes them equal

    train_loader, test_loader = loaders(args)
    model = DDP(Net().to(device))
    model.to(device)
    optimizer = optim.Adadelta(model.parameters(), lr=args.lr)
    scheduler = StepLR(optimizer, step_size=1, gamma=args.gamma)
    start = time.time()
    for epoch in range(1, args.epochs + 1):
        train(args, model, device, train_loader, optimizer, epoch)
        if rank == 0:
            test(model, device, test_loader)
        scheduler.step()

    torch.save(model.state_dict(), os.path.join(args.model_dir, "digits-{}.pt".format(rank)))
    if rank == 0:
        print("Trained on {} ranks in {:.1f} s".format(args.world_size, time.time() - start))


if __name__ == "__main__":
    main()
