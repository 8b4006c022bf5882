# The images: the newest of their makers, with spot-guard in it. AWS_REGION and credentials come from the environment.

variable "kubernetes" {
  type        = string
  default     = "1.33"
  description = "Of which Kubernetes version the EKS image is."
}

variable "instance_type" {
  type        = string
  default     = "t3.small"
  description = "On what the image is made. With one of Graviton (t4g.small) set architecture too."
}

variable "architecture" {
  type        = string
  default     = "x86_64"
  description = "Of the image: x86_64 or arm64. The package must be for the same."
}

locals {
  time = formatdate("YYYYMMDD-hhmmss", timestamp())
  # As Debian and Ubuntu call it.
  debian_architecture = var.architecture == "x86_64" ? "amd64" : var.architecture
}

source "amazon-ebs" "eks-al2023" {
  ami_name      = "spot-guard-eks-${var.kubernetes}-al2023-${var.architecture}-${local.time}"
  instance_type = var.instance_type
  ssh_username  = "ec2-user"
  source_ami_filter {
    owners      = ["amazon"]
    most_recent = true
    filters = {
      name                = "amazon-eks-node-al2023-${var.architecture}-standard-${var.kubernetes}-*"
      architecture        = var.architecture
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
  }
}

source "amazon-ebs" "ubuntu" {
  ami_name      = "spot-guard-ubuntu-24.04-${var.architecture}-${local.time}"
  instance_type = var.instance_type
  ssh_username  = "ubuntu"
  source_ami_filter {
    # Canonical.
    owners      = ["099720109477"]
    most_recent = true
    filters = {
      name                = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-${local.debian_architecture}-server-*"
      architecture        = var.architecture
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
  }
}
