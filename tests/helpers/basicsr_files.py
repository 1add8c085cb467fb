"""Files in the shape of BasicSR's and Real-ESRGAN's, written again for the numbers in them."""

import copy
from pathlib import Path
from typing import Any

import yaml

from sr.options.import_basicsr import import_basicsr
from sr.options.load import load_options
from sr.options.schema import Options

KeyPath = tuple[str, ...]
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # in C, where PyYAML has it


def change(file: str | dict[str, Any], path: KeyPath, value: object) -> str:
    """The file with one value changed, added or, with `...`, left out."""
    tree = copy.deepcopy(file) if isinstance(file, dict) else yaml.safe_load(file)
    section = get_value(tree, path[:-1])
    section[path[-1]] = value
    if value is ...:
        del section[path[-1]]
    return str(yaml.dump(tree, Dumper=DUMPER))


def get_value(tree: Any, path: KeyPath) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def load(text: str, tmp_path: Path) -> Options:
    """Our options of their file."""
    path = tmp_path / "options.yml"
    path.write_text(import_basicsr(text).text, encoding="utf-8")
    return load_options(path)


def find_line(text: str, key: str) -> str:
    """The line of a key among what is not taken over, or nothing."""
    lines = [line for line in import_basicsr(text).unused if line.startswith(f"{key}: ")]
    assert len(lines) <= 1
    return "".join(lines)


REST = """
num_gpu: 1
val:
  val_freq: !!float 5e3
  save_img: false
  metrics:
    psnr: {type: calculate_psnr, crop_border: 4, test_y_channel: false}
logger:
  print_freq: 200
  save_checkpoint_freq: !!float 6e3
  use_tb_logger: true
  wandb: {project: ~}
dist_params: {backend: nccl, port: 29500}
"""
PAIRS = """
  train:
    name: pairs
    type: PairedImageDataset
    dataroot_gt: data/hr
    dataroot_lq: data/lr
    filename_tmpl: '{}'
    io_backend: {type: disk}
    gt_size: 128
    use_hflip: true
    use_rot: true
    num_worker_per_gpu: 6
    batch_size_per_gpu: 16
    dataset_enlarge_ratio: 100
    prefetch_mode: ~
  val:
    name: five
    type: PairedImageDataset
    dataroot_gt: five/hr
    dataroot_lq: five/lr
    io_backend: {type: disk}
  val_2:
    name: fourteen
    type: PairedImageDataset
    dataroot_gt: fourteen/hr
    dataroot_lq: fourteen/lr
    io_backend: {type: disk}
"""
# A run for fidelity with a cosine that starts again.
MSRRESNET = f"""
name: 001_msrresnet
model_type: SRModel
scale: 4
manual_seed: 7
datasets:{PAIRS}
network_g: {{type: MSRResNet, num_in_ch: 3, num_out_ch: 3, num_feat: 48, num_block: 12, upscale: 4}}
path: {{pretrain_network_g: ~, param_key_g: params, strict_load_g: true, resume_state: ~}}
train:
  ema_decay: 0.995
  optim_g: {{type: Adam, lr: !!float 2e-4, weight_decay: 0, betas: [0.9, 0.99]}}
  scheduler:
    type: CosineAnnealingRestartLR
    periods: [250000, 250000, 250000, 250000]
    restart_weights: [1, 1, 1, 1]
    eta_min: !!float 1e-7
  total_iter: !!float 1000e3
  warmup_iter: -1
  pixel_opt: {{type: L1Loss, loss_weight: 1.0, reduction: mean}}
{REST}
"""
# The medium network, with older names of some keys.
EDSR = f"""
name: 203_edsr_m
model_type: SRModel
scale: 4
manual_seed: 10
datasets:{PAIRS}
network_g:
  type: EDSR
  num_in_ch: 3
  num_out_ch: 3
  num_feat: 64
  num_block: 16
  upscale: 4
  res_scale: 1
  img_range: 255.
  rgb_mean: [0.4488, 0.4371, 0.4040]
path: {{pretrain_model_g: edsr_x2.pth, strict_load: false, resume_state: ~}}
train:
  optim_g: {{type: Adam, lr: !!float 1e-4, weight_decay: 0, betas: [0.9, 0.99]}}
  scheduler: {{type: MultiStepLR, milestones: [200000], gamma: 0.5}}
  total_iter: 300000
  warmup_iter: 500
  pixel_opt: {{type: L1Loss, loss_weight: 1.0, reduction: mean}}
{REST}
"""
GAN = """
  optim_d: {type: Adam, lr: !!float 2e-4, weight_decay: 0, betas: [0.5, 0.99]}
  gan_opt:
    type: GANLoss
    gan_type: vanilla
    real_label_val: 1.0
    fake_label_val: 0.0
    loss_weight: !!float 5e-3
  net_d_iters: 1
  net_d_init_iters: 0
"""
# Relativistic.
ESRGAN = f"""
name: 052_esrgan
model_type: ESRGANModel
scale: 4
manual_seed: 0
datasets:{PAIRS}
network_g: {{type: RRDBNet, num_in_ch: 3, num_out_ch: 3, num_feat: 64, num_block: 23}}
network_d: {{type: VGGStyleDiscriminator, num_in_ch: 3, num_feat: 32}}
path: {{pretrain_network_g: rrdb.pth, strict_load_g: true, resume_state: ~}}
train:
  ema_decay: 0.999
  optim_g: {{type: Adam, lr: !!float 1e-4, weight_decay: 0, betas: [0.9, 0.99]}}
  scheduler: {{type: MultiStepLR, milestones: [50000, 100000, 200000, 300000], gamma: 0.5}}
  total_iter: 400000
  warmup_iter: -1
  pixel_opt: {{type: L1Loss, loss_weight: !!float 1e-2, reduction: mean}}
  perceptual_opt:
    type: PerceptualLoss
    layer_weights: {{'conv5_4': 1}}
    vgg_type: vgg19
    use_input_norm: true
    range_norm: false
    perceptual_weight: 1.0
    style_weight: 0
    criterion: l1
{GAN}
{REST}
"""
# x4plus, with its degradation.
REAL_ESRGAN = f"""
name: real_x4plus
model_type: RealESRGANModel
scale: 4
manual_seed: 0
l1_gt_usm: True
percep_gt_usm: True
gan_gt_usm: False
resize_prob: [0.2, 0.7, 0.1]
resize_range: [0.15, 1.5]
gaussian_noise_prob: 0.5
noise_range: [1, 30]
poisson_scale_range: [0.05, 3]
gray_noise_prob: 0.4
jpeg_range: [30, 95]
second_blur_prob: 0.8
resize_prob2: [0.3, 0.4, 0.3]
resize_range2: [0.3, 1.2]
gaussian_noise_prob2: 0.5
noise_range2: [1, 25]
poisson_scale_range2: [0.05, 2.5]
gray_noise_prob2: 0.4
jpeg_range2: [30, 95]
gt_size: 256
queue_size: 180
datasets:
  train:
    name: many
    type: RealESRGANDataset
    dataroot_gt: data/hr
    meta_info: data/list.txt
    io_backend: {{type: disk}}
    blur_kernel_size: 21
    kernel_list: [iso, aniso, generalized_iso, generalized_aniso, plateau_iso, plateau_aniso]
    kernel_prob: [0.45, 0.25, 0.12, 0.03, 0.12, 0.03]
    sinc_prob: 0.1
    blur_sigma: [0.2, 3]
    betag_range: [0.5, 4]
    betap_range: [1, 2]
    blur_kernel_size2: 21
    kernel_list2: [iso, aniso, generalized_iso, generalized_aniso, plateau_iso, plateau_aniso]
    kernel_prob2: [0.45, 0.25, 0.12, 0.03, 0.12, 0.03]
    sinc_prob2: 0.1
    blur_sigma2: [0.2, 1.5]
    betag_range2: [0.5, 4]
    betap_range2: [1, 2]
    final_sinc_prob: 0.8
    gt_size: 256
    use_hflip: True
    use_rot: False
    use_shuffle: true
    num_worker_per_gpu: 5
    batch_size_per_gpu: 12
    dataset_enlarge_ratio: 1
    prefetch_mode: ~
network_g:
  {{type: RRDBNet, num_in_ch: 3, num_out_ch: 3, num_feat: 64, num_block: 23, num_grow_ch: 32}}
network_d: {{type: UNetDiscriminatorSN, num_in_ch: 3, num_feat: 64, skip_connection: True}}
path:
  pretrain_network_g: RealESRNet_x4plus.pth
  param_key_g: params_ema
  strict_load_g: true
  pretrain_network_d: netD.pth
  resume_state: ~
train:
  ema_decay: 0.999
  optim_g: {{type: Adam, lr: !!float 1e-4, weight_decay: 0, betas: [0.9, 0.99]}}
  scheduler: {{type: MultiStepLR, milestones: [400000], gamma: 0.5}}
  total_iter: 400000
  warmup_iter: -1
  pixel_opt: {{type: L1Loss, loss_weight: 1.0, reduction: mean}}
  perceptual_opt:
    type: PerceptualLoss
    layer_weights: {{conv1_2: 0.1, conv2_2: 0.1, conv3_4: 1, conv4_4: 1, conv5_4: 1}}
    vgg_type: vgg19
    use_input_norm: true
    perceptual_weight: !!float 1.0
    style_weight: 0
    range_norm: false
    criterion: l1
{GAN}
{REST}
"""
